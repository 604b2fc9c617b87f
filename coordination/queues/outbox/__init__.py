"""Messages that wait in a database until its commit, and until their queue's store has them."""
