"""Training's decoded frames on the devices, where each batch is cut out of them."""
