"""The admission webhook of Kubernetes: AdmissionReviews in, whether their images may run out."""
