"""The steps of `retrain-model`, for a model of bikes rented per hour."""
