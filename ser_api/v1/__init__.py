"""Generated from `proto/ser/v1/ser.proto`."""
