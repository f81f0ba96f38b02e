"""Run a program that trains, and read its metric as it prints it."""

import sys


def train(run):
    run.command([sys.executable, "script.py", *run.arguments(), "--seed={seed}", "--steps={steps}"])
