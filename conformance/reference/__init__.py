"""A second implementation of JetStreamProto version 1, written from the specification in ../spec alone.

It is meant to be read and to be compared with, not to be fast: congestion control is the simplest that works, and there is
neither forward error correction nor migration.
"""
