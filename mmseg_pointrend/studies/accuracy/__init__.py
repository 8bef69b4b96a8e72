"""How good is a rendering, where, and at what price?"""
