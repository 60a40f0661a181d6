"""Tests of `trustcli.completion`."""
