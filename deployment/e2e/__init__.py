"""The end-to-end run: what `make package` made is deployed to an emulator, and used from outside."""
