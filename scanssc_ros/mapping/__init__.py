"""The lifecycle node `semantic_map`: VoxelGrid messages of any publisher fused into one map."""
