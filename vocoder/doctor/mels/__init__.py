"""What a mel file is: its content, normalisation and filterbank, from values or the recording."""
