"""How likely what is said is so: a number for each rule, from countries that were made, and what is too unsure to be said."""
