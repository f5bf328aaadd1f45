"""``python -m tests.conformance DIR``: compare this project with MMOCR 0.6.1's stored numbers.

``landed.py`` says which models are compared, ``formulas.py`` makes weights and inputs, ``check.py``
measures, ``kit.py`` reads, and one module per folder of the kit says what a case of it means.
"""
