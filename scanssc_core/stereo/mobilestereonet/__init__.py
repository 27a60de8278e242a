"""MobileStereoNet (F. Shamsafar, S. Woerz, R. Rahim, A. Zell, WACV 2022): MSNet2D and MSNet3D."""
