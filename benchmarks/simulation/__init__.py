"""How often the verdicts and the audit are wrong, and how often they see what is there.

Everything is judged through the claims themselves, on evidence made of simulated results. `tables`
lists what is simulated: tests take a part of it at modest size, ``benchmarks/error_rates.py`` all
of it.
"""
