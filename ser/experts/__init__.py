"""Experts: linear classifiers over a fixed description of an utterance, solved rather than descended to.

description.py        what the experts read, as a Keras network: vectors as they are, Fisher vectors of the frames
gaussian_mixture.py   the mixture that Fisher vectors are gradients of
ridge.py              the classifier: one linear system, and what it says of rows that it was not solved with
opinion_pool.py       how much say the experts have, and how sure they are together
ensemble.py           all of it, fitted on a training set, as one Keras network
layers.py             the Keras layers
"""
