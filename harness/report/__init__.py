"""Report what was judged: a model of it, documents made of that, and renderers that write them.

`model.build` computes all figures once. `documents` turn values into blocks of text, tables and
pictures, a file a kind of document. `renderers` write blocks, and decide nothing about them.
"""
