"""Networks, preprocessing, post-processing and predictors; imports nothing else of the project."""
