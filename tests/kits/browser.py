"""A reviewer at work: Airflow's UI in a real browser, without a screen."""

from __future__ import annotations

from tests.kits.release_kit import CHROMIUM, Run

REVIEWER = "reviewer"
PATIENCE_MS = 60_000


def answer_in_the_browser(run: Run, choice: str, reason: str) -> str:
    """Log in as the reviewer, open the review's Required Actions, give a reason and click; the text that was read."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{run.release.airflow}/auth/login")
        page.fill("input[name=username]", REVIEWER)
        page.fill("input[name=password]", REVIEWER)
        page.click("button:has-text('Sign in')")
        page.wait_for_url(lambda address: "/auth/login" not in address)
        page.goto(f"{run.release.airflow}/dags/{run.model}_retraining/runs/{run.id}/tasks/review/required_actions")
        button = page.get_by_role("button", name=choice, exact=True)
        button.wait_for()
        text = page.inner_text("body")
        page.fill("[name=element_reason]", reason)
        with page.expect_response(
            lambda found: "hitlDetails" in found.url and found.request.method == "PATCH"
        ) as answer:
            button.click()
        assert answer.value.ok, answer.value.text()
        browser.close()
    return text
