"""What real portraits give: textures for synthetic heads, and faces turned to larger yaws."""
