"""Readers: one for each layout of published results. Third-party readers come by the entry points `netgain.readers`."""
