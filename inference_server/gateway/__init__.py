"""HTTP for the RPCs, by the `google.api.http` annotations of the proto."""
