"""Recomputes a commitment the way the network's Python node does: argv is the CID, standard input the text."""
import hashlib
import re
import sys

text = re.sub(r"\s+", " ", sys.stdin.buffer.read().decode("utf-8").strip())
inner = hashlib.sha256(sys.argv[1].encode()).digest() + hashlib.sha256(text.encode("utf-8")).digest()
print(hashlib.sha256(inner).hexdigest())
