"""Manifests of recordings, their audit, and the crops that training reads from them."""
