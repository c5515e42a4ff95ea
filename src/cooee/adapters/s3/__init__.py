"""Media in an S3-compatible object store. Knows no service and no other adapter."""
