"""Methods of a user's own in a process that never holds the exam. See docs/security.md.

A method is a program in steps, which is the seam: the process that runs it is given material, settings, what may be
spent and its random streams, and asks over a socket for everything else. Model, prices, book, grader and questions stay
with the process that started it. What crosses is plain data of known types (:mod:`netgain.isolation.crossing`);
adapters, models and accounts cross as numbers. Methods that ship with netgain are its own code and run where they
always did.
"""
