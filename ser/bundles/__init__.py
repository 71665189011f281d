"""Trained models at rest.

bundle             a model's folder, opened and checked
manifest           what it says of itself
model_store        the place that models are saved in, listed and deleted from
encoders           the pretrained encoders of models in an object store
litert             the network, ready to compute
network_structure  what a network's file may be made of
flatbuffer         the format that it is written in
"""
