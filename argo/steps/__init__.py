"""What every image of this folder has. Only the standard library, so that it runs wherever Python does."""
