"""Networks in lower precision than float32: where that is possible, and what stays in float32."""
