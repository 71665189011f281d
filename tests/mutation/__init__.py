"""A mutation run: breaks the code in one place at a time, and asks the tests that reach the place whether they notice.

    make mutants                            goes on with the sample until it is done
    python -m tests.mutation --minutes 30   goes on for half an hour
    python -m tests.mutation --survivors    lists what no test noticed

`faults` makes the faults of a source file, `reach` finds out which tests execute which lines, `results` keeps what came
out, and `__main__` runs.
"""
