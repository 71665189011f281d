"""Networks of whatever model type: how they are trained and written for serving.

fitted              what comes of fitting a model
training_loop       Adam over cross-entropy, the same bits by the same seed
epoch_weights       the weights after each epoch, to be judged later
export              a trained network to the file that is served
tensorflow_runtime  TensorFlow, imported by the functions that need it: quietly, and so that bits repeat
"""
