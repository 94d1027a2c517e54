"""Two photos of one person, a front and a side, in place of one photo and a view that is made from it."""
