"""From fused features to class logits of the fine grid."""
