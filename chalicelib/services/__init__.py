"""Rules that span records or systems. No Chalice and no boto3 here."""
