"""What serves a version of the model that `retrain-model` trains."""
