"""The quorum's proposers and acceptors in every order of events within bounds."""
