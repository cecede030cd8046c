"""What a platform engineer wants to know before the first run on AWS. It only reads, changes nothing and costs nothing.

A module for each family of checks. Each describes what is there and judges it in a function of its own.
"""
