"""How data is shown to models, whichever role asks them."""
