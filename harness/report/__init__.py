"""Report a judgement: compute a model, make documents of it, and write them.

`model.build` computes all figures once. `documents` turn values into blocks of text, tables and
pictures, a file a kind of document. `renderers` write blocks, and decide nothing about them.
"""
