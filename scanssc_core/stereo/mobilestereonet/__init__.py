"""MobileStereoNet: the stereo networks MSNet2D and MSNet3D.

F. Shamsafar, S. Woerz, R. Rahim, A. Zell: MobileStereoNet: Towards Lightweight Deep Networks for Stereo Matching. WACV
2022. https://arxiv.org/abs/2108.09770
"""
