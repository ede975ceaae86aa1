"""Corpora in tars of the webdataset layout: finding the files in them, and writing them."""
