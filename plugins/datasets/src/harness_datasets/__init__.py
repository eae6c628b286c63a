"""Flickr8k and any folder of captioned images."""
