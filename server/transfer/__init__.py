"""Export and import: the whole product as a folder of files, and back."""
