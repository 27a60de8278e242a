"""The paper's Scan Module: masked attention near to far along depth, width and height, mixing, and fusion."""
