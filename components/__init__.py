"""The pipeline's steps as KFP components: a signature, a container, a call into `ser`."""
