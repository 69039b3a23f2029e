"""Peers that ask each other for advice."""
