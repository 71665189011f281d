"""The steps wired into Kubeflow pipelines: run here, compiled, submitted."""
