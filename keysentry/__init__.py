"""keysentry finds leaked credentials in chat, spreadsheets, documents and storage, and acts on them."""
