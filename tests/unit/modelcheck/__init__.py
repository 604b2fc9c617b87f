"""An exhaustive model check of the engine and of the reference machines of transactions."""
