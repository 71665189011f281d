"""Experts: linear classifiers over a fixed description of an utterance, solved rather than descended to.

profiles.py           who speaks each training row
description.py        what the experts read, as a Keras network: vectors as they are, Fisher vectors of the frames
gaussian_mixture.py   the mixture that Fisher vectors are gradients of
rows.py               what each expert reads of each training row, block by block
scaling.py            columns on one scale, by all rows or by all but a fold's
ridge.py              the classifier: one linear system, and what it says of rows that it was not solved with
opinion_pool.py       how much say the experts have, and how sure they are together
ensemble.py           all of it, fitted on a training set, as one Keras network
layers.py             the Keras layers
"""
