"""Tools of this repository; nothing here is installed with the package."""
