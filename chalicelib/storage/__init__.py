"""Where records and files are kept. The only package that imports boto3; one module per record."""
